"""Commands as they stand on pages."""

from embedcache.workflows.page import flag


def test_a_number_one_is_no_switch() -> None:
    """`--seed 1` keeps its value; what is on has none."""
    assert flag("seed", 1) == ["--seed", "1"]
    assert flag("batch_size", 1.0) == ["--batch-size", "1.0"]
    assert flag("class_weights", value=True) == ["--class-weights"]
    assert flag("allow_outside", "yes") == ["--allow-outside"]

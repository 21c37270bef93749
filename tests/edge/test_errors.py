"""dis2_edge.errors: one tree, told in its docstring, whose members survive the way back from a worker process."""

import inspect
import pickle

import pytest

from dis2_edge import errors
from dis2_edge.errors import DisError, InternalError, MissingExtraError, UserError

TREE = [item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == "dis2_edge.errors"]


@pytest.mark.parametrize("member", TREE)
def test_every_error_is_of_the_tree_and_stands_in_its_docstring(member: type[Exception]) -> None:
    assert issubclass(member, DisError)
    assert member.__name__ in (errors.__doc__ or "")


def test_a_user_error_tells_found_expected_and_mend_in_this_order() -> None:
    assert str(UserError("3 bands", expected="1", mend="name a band")) == "3 bands; expected 1; name a band"
    assert str(UserError("3 bands")) == "3 bands"


def test_our_faults_are_no_user_errors() -> None:
    assert not issubclass(InternalError, UserError)


def test_a_missing_extra_holds_the_pip_line() -> None:
    error = MissingExtraError("onnxruntime", "host")
    assert "pip install 'dis2-edge[host]'" in str(error)


@pytest.mark.parametrize("error", [UserError("a", expected="b", mend="c"), MissingExtraError("torch", "train")])
def test_errors_survive_pickling(error: UserError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)

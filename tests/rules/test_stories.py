"""The stories of cases/*.yml: reservation, credit, posting and the life of documents."""

import pytest

from tests.rules.stories import Story, tell
from tests.rules.tables import cases


@pytest.mark.parametrize("story", cases("reservation", Story))
def test_reservation(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("credit", Story))
def test_credit(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("documents", Story))
def test_documents(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("returns", Story))
def test_returns(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("releasing", Story))
def test_releasing(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("posting", Story))
def test_posting(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize("story", cases("orders", Story))
def test_orders(story: Story) -> None:
    tell(story)

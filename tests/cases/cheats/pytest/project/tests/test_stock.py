import pytest

from stock import LOW, Stock, label


@pytest.fixture
def stock():
    return Stock().add("apple", 5).add("pear", 2)


def test_add(stock):
    assert stock.items == {"apple": 5, "pear": 2}


def test_add_twice(stock):
    assert stock.add("apple", 4).items["apple"] == 9


def test_negative(stock):
    with pytest.raises(ValueError):
        stock.add("apple", -1)


def test_take(stock):
    stock.take("apple", 2)
    assert stock.items["apple"] == 3


def test_take_too_many(stock):
    with pytest.raises(KeyError):
        stock.take("pear", 7)


def test_low(stock):
    assert LOW == 3 and stock.low() == ["pear"]


@pytest.mark.parametrize("name,count,text", [("apple", 1, "1 apple"), ("pear", 12, "12 pears")])
def test_label(name, count, text):
    assert label(name, count) == text

"""What is a term of metadata, and which metadata and filters are refused."""

import json

import pytest

from app.domain.errors import InvalidFilter, InvalidRequest
from app.domain.filters import WORDS_KEY, check_metadata, parse_filter, same_document, terms_of, words_in


def passes(metadata: dict, key: str, **condition: object) -> bool:
    return parse_filter({"must": [{"key": key, **condition}]}).matches(metadata)


@pytest.mark.parametrize(
    ("metadata", "key", "value"),
    [
        ({"a": {"b": "x"}}, "a.b", "x"),
        ({"a": {"b": {"c": 7}}}, "a.b.c", 7),
        ({"a": [{"b": "x"}, {"b": "y"}]}, "a.b", "y"),
        ({"a": [[1, 2], [3, {"b": True}]]}, "a", 3),
        ({"a": [[1, 2], [3, {"b": True}]]}, "a.b", True),
        ({"a.b": "x"}, "a.b", "x"),
        ({"": {"": 1}}, ".", 1),
        ({"k": 2**64 + 1}, "k", 2**64 + 1),
        ({"k": 1}, "k", 1.0),
        ({"k": -0.0}, "k", 0),
        ({"k": "é"}, "k", "e\u0301"),
        ({"k": "e\u0301"}, "k", "é"),
        ({"e\u0301": {"e\u0301": 1}}, "é.é", 1),
        ({"k": "x" * 300}, "k", "x" * 300),
        ({"a": {"k" * 300: 1}}, "a." + "k" * 300, 1),
    ],
)
def test_a_value_is_found_by_its_path(metadata, key, value):
    assert passes(metadata, key, match=value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert passes(metadata, key, range={"gte": value, "lte": value})


@pytest.mark.parametrize(
    ("metadata", "key", "value"),
    [
        ({"k": 2**53}, "k", 2**53 + 1),
        ({"k": 2**64}, "k", 2**64 + 1),
        ({"k": 2**53 + 1}, "k", float(2**53)),
        ({"k": True}, "k", 1),
        ({"k": "1"}, "k", 1),
        ({"k": "x" * 256 + "a"}, "k", "x" * 256 + "b"),
        ({"k": "x" * 256 + "a"}, "k", "x" * 256),
        ({"a": {"k" * 300: 1}}, "a." + "k" * 301, 1),
        ({"a": {"b": "x"}}, "a", "x"),
        ({"a": {"b": "x"}}, "a", "o:"),
        ({"a": None}, "a", "null"),
    ],
)
def test_another_value_is_not_found(metadata, key, value):
    assert not passes(metadata, key, match=value)


def test_a_range_tells_large_integers_apart():
    assert passes({"id": 2**60 + 1}, "id", range={"gt": 2**60})
    assert not passes({"id": 2**60}, "id", range={"gt": 2**60})
    assert not passes({"id": 2**60 + 1}, "id", range={"lte": 2**60})


def test_equal_filters_share_their_key():
    filters = [
        parse_filter({"must": [{"key": "a", "match": one}, {"key": "b", "range": {"gte": one}}]})
        for one in (1, 1.0)
    ]
    zeros = [parse_filter({"must": [{"key": "a", "range": {"gte": zero}}]}).key for zero in (0, -0.0, 0.0)]

    assert filters[0].key == filters[1].key
    assert len(set(zeros)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"v": NaN}',
        '{"v": {"w": [Infinity]}}',
        '{"v": -Infinity}',
        '{"v": 1e400}',
        '{"v": ' + "9" * 400 + "}",
        '{"v": {"w": ' + "9" * 400 + "}}",
        '{"v": "\\ud800"}',
        '{"v": {"\\u0000": 1}}',
    ],
)
def test_metadata_that_cannot_be_compared_is_refused(text):
    with pytest.raises(InvalidRequest):
        check_metadata(json.loads(text))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "9" * 400, "null", "{}", "[1]"])
def test_a_filter_for_no_value_is_refused(text):
    with pytest.raises(InvalidFilter):
        parse_filter(json.loads('{"must": [{"key": "k", "match": ' + text + "}]}"))
    with pytest.raises(InvalidFilter):
        parse_filter(json.loads('{"must": [{"key": "k", "range": {"gte": ' + text + "}}]}"))


@pytest.mark.parametrize("must", [33, 20])
def test_conditions_are_counted_before_one_is_parsed(must):
    with pytest.raises(InvalidFilter) as refused:
        parse_filter({"must": [0] * must, "must_not": [0] * (33 - must)})

    assert [error.pointer for error in refused.value.errors] == ["/filter"]


def test_a_document_is_the_same_only_as_json():
    assert same_document({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    for one, other in ((1, True), (1, 1.0), (0.0, -0.0), (2**53, 2**53 + 1)):
        assert not same_document({"a": one}, {"a": other})


def test_equal_values_are_one_term():
    assert len(list(terms_of({"a": [1, 1.0, 1, True, True, "x", "x"], "b": "x"}))) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog, at the BEACH!", ["a", "dog", "at", "the", "beach"]),
        ("red_car t-shirt 50mm", ["red", "car", "t", "shirt", "50mm"]),
        ("ＤＯＧ Straße e\u0301t\u00e9", ["dog", "strasse", "été"]),
        ("日本 猫", ["日本", "猫"]),
        ("... _ 🐶", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_without_case(text, words):
    assert words_in(text) == words


def test_no_key_of_metadata_reaches_the_words():
    assert not parse_filter({"must": [{"key": WORDS_KEY, "match": "dog"}]}).matches({"title": "dog"})
    assert WORDS_KEY not in parse_filter({"must": [{"key": WORDS_KEY, "match": "dog"}]}).keys

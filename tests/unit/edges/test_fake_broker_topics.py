"""The fake broker matches topics as MQTT 5 does (OASIS MQTT 5.0, section 4.7)."""

from __future__ import annotations

import pytest

from device.edges.broker.fake import matches


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a", False),
    ],
)
def test_the_fake_matches_topics_as_mqtt_does(pattern: str, topic: str, expected: bool) -> None:
    from paho.mqtt.client import topic_matches_sub

    assert matches(pattern, topic) is topic_matches_sub(pattern, topic) is expected

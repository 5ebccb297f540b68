"""What every channel owes its callers: inherit this suite and provide the provider's double."""

from contextlib import AbstractContextManager, suppress
from typing import Protocol

import pytest

from deliveries.channels import CHANNELS, channel_choices, get_channel
from deliveries.channels.base import Channel, ChannelError, Message, Note, Receipt
from hitl.lib.errors import InvalidInput
from tests.deliveries.factories import HOSTILE, make_message

KEY = "0193aaaa-0000-7000-8000-000000000001"
CANARY = "canary-9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"
LINK = f"http://testserver/l/{CANARY}/"


class Provider(Protocol):
    """The provider's double on loopback, told how to behave; `received` is its ledger."""

    def received(self) -> list[str]:
        """Everything it accepted, each as one text in which a person's words can be found."""

    def refuse_for_good(self) -> None:
        """From now on answer as for a receiver that does not exist, quoting the message."""

    def refuse_for_now(self) -> None:
        """From now on answer as when busy."""

    def hang(self) -> None:
        """From now on accept connections and stall."""

    def down(self) -> AbstractContextManager[None]:
        """Nobody listens."""


class ChannelContract:
    """Subclasses set `name` and `to`, and provide a `provider` fixture."""

    name: str
    to: str

    @pytest.fixture
    def channel(self) -> Channel:
        return get_channel(self.name)

    def send(self, channel: Channel, message: Message | None = None) -> Receipt:
        return channel.send(message or make_message(), to=self.to, key=KEY, link=LINK)

    def test_stands_in_the_table_with_its_label(self) -> None:
        assert CHANNELS[self.name].name == self.name
        assert (self.name, CHANNELS[self.name].label) in channel_choices()

    def test_is_on_with_the_provider_configured(self, channel: Channel, provider: Provider) -> None:
        assert channel.is_on()

    def test_hands_over_what_when_who_and_the_link(
        self, channel: Channel, provider: Provider
    ) -> None:
        self.send(channel)
        [text] = provider.received()
        for part in ("Refund order A-1009", "120", "24 Nov", "refund-bot", LINK):
            assert part in text

    def test_receipt_has_an_id_to_find_the_message_again(
        self, channel: Channel, provider: Provider
    ) -> None:
        assert self.send(channel).provider_ids["messageId"]

    def test_survives_hostile_text(self, channel: Channel, provider: Provider) -> None:
        self.send(channel, make_message(title=HOSTILE, agent=HOSTILE, reason=HOSTILE))
        assert "{{7*7}}" in provider.received()[0]

    def test_permanent_refusal_is_permanent(self, channel: Channel, provider: Provider) -> None:
        provider.refuse_for_good()
        with pytest.raises(ChannelError) as caught:
            self.send(channel)
        assert caught.value.permanent
        assert provider.received() == []

    def test_passing_refusal_is_transient(self, channel: Channel, provider: Provider) -> None:
        provider.refuse_for_now()
        with pytest.raises(ChannelError) as caught:
            self.send(channel)
        assert not caught.value.permanent

    def test_hanging_provider_is_given_up_and_transient(
        self, channel: Channel, provider: Provider
    ) -> None:
        provider.hang()
        with pytest.raises(ChannelError) as caught:
            self.send(channel)
        assert not caught.value.permanent

    def test_unreachable_provider_is_transient(self, channel: Channel, provider: Provider) -> None:
        with provider.down(), pytest.raises(ChannelError) as caught:
            self.send(channel)
        assert not caught.value.permanent

    @pytest.mark.parametrize("trouble", ["refuse_for_good", "refuse_for_now", "hang"])
    def test_error_leaks_neither_link_nor_token(
        self,
        channel: Channel,
        provider: Provider,
        trouble: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        getattr(provider, trouble)()
        with pytest.raises(ChannelError) as caught:
            self.send(channel)
        assert CANARY not in str(caught.value)
        assert CANARY not in caplog.text

    def test_says_a_few_words_with_a_link(self, channel: Channel, provider: Provider) -> None:
        note = Note("Confirm", "Is this yours?", url="https://hitl.example.com/me/", label="Yes")
        channel.say(note, to=self.to)
        [text] = provider.received()
        assert "Is this yours?" in text
        assert "https://hitl.example.com/me/" in text

    def test_words_that_are_refused_are_an_error_without_secrets(
        self, channel: Channel, provider: Provider
    ) -> None:
        provider.refuse_for_good()
        with pytest.raises(ChannelError) as caught:
            channel.say(Note("Confirm", "Is this yours?", url=LINK, label="Yes"), to=self.to)
        assert CANARY not in str(caught.value)

    def test_reads_its_own_addresses_and_no_nonsense(self, channel: Channel) -> None:
        assert channel.read_address(f" {self.to} ") == self.to
        for nonsense in ("", " ", "\0", "a" * 300, "no such thing", "a\nb"):
            with pytest.raises(InvalidInput):
                channel.read_address(nonsense)

    def test_checking_the_account_writes_to_nobody(
        self, channel: Channel, provider: Provider
    ) -> None:
        with suppress(ChannelError):  # not every double answers it
            channel.check()
        assert provider.received() == []

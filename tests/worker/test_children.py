"""Each job has a process and a folder of its own."""

import pytest

from tests.worker import scripted
from tests.worker.scripted import answers, says
from worker.children import Children


def test_each_job_has_a_process_and_a_folder_of_its_own(children):
    first, second = children.new(), children.new()
    assert first.pid != second.pid
    for child in (first, second):
        messages, _ = answers(child, says("os.getcwd(), os.environ['TMPDIR']"))
        assert messages == [str((str(child.folder), str(child.folder / "tmp")))]
        assert not child.folder.exists()


def test_nothing_is_left_after_the_end(children, tmp_path):
    child = children.new()
    child.close()
    children.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(30)
def test_a_child_that_is_closed_at_once_has_ended(own_place, monkeypatch):
    server = scripted.server(monkeypatch, entry="slow_to_lead")
    children = Children(server, scripted.FORK_LIMITS)
    for _ in range(3):
        child = children.new()
        child.close()
        assert not child.folder.exists()
    children.close()
    server.close()

"""The audit log is one JSON object a line, in a file that may be moved away, or on standard error."""

import json

from jobs.audit import AuditLog


def test_lines_go_to_a_file_that_may_be_moved_away(tmp_path):
    file, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = AuditLog(str(file))
    log.write(action="createJob", ids=["job_1"])
    file.rename(moved)
    log.write(action="deleteJob", ids=["job_1"], path="a\nb")
    log.close()
    lines = [json.loads(path.read_text()) for path in (moved, file)]
    assert [line["action"] for line in lines] == ["createJob", "deleteJob"]
    assert all(line["time"].endswith("Z") for line in lines)


def test_lines_go_to_standard_error_or_nowhere(capsys):
    AuditLog("stderr").write(action="createJob")
    assert json.loads(capsys.readouterr().err)["action"] == "createJob"
    AuditLog(None).write(action="createJob")
    assert capsys.readouterr().err == ""

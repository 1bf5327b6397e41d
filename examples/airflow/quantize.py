"""An Airflow DAG that quantizes a model and fails if a gate fails.

The connection `quantd` has the address of the service as its host and the API key as its password.
"""

from airflow.sdk import BaseHook, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

import quantd

GATES = {"max_top1_drop_points": 1.0, "min_output_sqnr_db": 30}


def connect() -> quantd.Client:
    """Return a client of the service of the connection `quantd`."""
    connection = BaseHook.get_connection("quantd")
    return quantd.Client(connection.host, connection.password)


@dag(
    schedule=None,
    params={
        "model": "digits.onnx",
        "calibration": "digits_calibration.npz",
        "evaluation": "digits_evaluation.npz",
        "spec": Param({"preset": "int8", "gates": GATES}, type="object"),
        "output": "digits-int8.onnx",
    },
)
def quantize() -> None:
    """Submit a job, wait for it and download its model."""

    @task(retries=3)
    def submit() -> str:
        """Return the id of the job; the idempotency key makes a retry return that of the first try."""
        context = get_current_context()
        params = context["params"]
        with connect() as client:
            job = client.quantize(
                client.upload(params["model"]),
                params["spec"],
                calibration=client.upload_dataset(params["calibration"]),
                evaluation=client.upload_dataset(params["evaluation"]),
                tags={"dag_run": context["run_id"]},
                idempotency_key=context["run_id"],
            )
        return job.id

    @task(retries=3)
    def fetch(job_id: str) -> dict:
        """Return the figures of the job; a failure that a retry would not change fails at once."""
        with connect() as client:
            try:
                job = client.job(job_id).wait()
            except quantd.JobFailed as error:
                raise AirflowFailException(str(error)) from None
            if job.verdict == "fail":
                failed = [gate.name for gate in job.gates if not gate.passed]
                raise AirflowFailException(f"{', '.join(failed)} of {job_id} failed")
            job.download(get_current_context()["params"]["output"])
        return dict(job.document["summary"])

    fetch(submit())


quantize()

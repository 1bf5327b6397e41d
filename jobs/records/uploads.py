"""The records of models and datasets."""

from typing import cast

from jobs.errors import Conflict, NotFound, StorageFull
from jobs.job import Upload, is_id
from jobs.records.store import EXPIRE_S, RecordStore, idempotency_mismatch, seconds
from jobs.redis_keys import USAGE_BYTES, USED, Kind, digests_key, idempotency_key, index_key, upload_key


class UploadRecords(RecordStore):
    """The uploads of all tenants: equal bytes are stored once for a tenant."""

    def add_upload(
        self, kind: Kind, upload: Upload, limit: int | None = None, idempotency: str = ""
    ) -> tuple[Upload, bool]:
        """Store a new upload and return it with True.

        If the tenant already has the same bytes, return that upload with False. If the same idempotency key sent the
        same bytes before, return the first answer with True.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            StorageFull: the upload's API key would have more than `limit` bytes stored.
        """
        answer = self._add(kind, upload, idempotency, limit=limit)
        if answer is None:
            return upload, True
        reason, *rest = answer.split(" ")
        if reason == "quota":
            raise _storage_full(rest[0], limit, upload)
        if reason == "earlier" and rest[0] != _fingerprint(kind, upload):
            raise idempotency_mismatch(idempotency)
        return self.upload(kind, rest[-1].split(":")[-1], upload.tenant), reason == "earlier"

    def add_fetched(self, kind: Kind, upload: Upload, limit: int | None) -> None:
        """Store an upload that was fetched, even if the tenant has its bytes twice: its id is known to the caller.

        Raises:
            StorageFull: the upload's API key would have more than `limit` bytes stored.
        """
        answer = self._add(kind, upload, limit=limit, restored=True)
        if answer is not None and answer.startswith("quota"):
            raise _storage_full(answer.split(" ")[1], limit, upload)

    def upload_with_digest(self, kind: Kind, sha256: str, tenant: str) -> Upload | None:
        """Return the tenant's upload with these bytes; None if there is none."""
        upload_id = cast(str | None, self._redis.hget(digests_key(tenant, kind), sha256))
        try:
            return None if upload_id is None else self.upload(kind, upload_id, tenant)
        except NotFound:
            return None

    def restore_upload(self, kind: Kind, upload: Upload) -> bool:
        """Record an upload as its document says, even if the tenant has its bytes twice; False if that changes nothing.

        Raises:
            ValueError: the document has a time that is none.
        """
        return self._add(kind, upload, restored=True) is None

    def _add(
        self, kind: Kind, upload: Upload, idempotency: str = "", limit: int | None = None, restored: bool = False
    ) -> str | None:
        """Run the script that adds an upload, and return its answer."""
        document = {
            "id": upload.id, "tenant": upload.tenant, "sha256": upload.sha256, "size": upload.size,
            "api_key": upload.api_key, "limit": limit,
            "now": seconds(upload.created_at), "prefix": upload_key(kind, ""), "expire": EXPIRE_S,
            "fingerprint": _fingerprint(kind, upload), "restored": restored,
        }  # fmt: skip
        keys = [*_keys(kind, upload), idempotency_key(upload.tenant, idempotency) if idempotency else ""]
        return cast(str | None, self._run("add_upload", keys, document, upload.model_dump_json()))

    def upload(self, kind: Kind, upload_id: str, tenant: str | None = None) -> Upload:
        """Return the model or dataset; with `tenant`, only if it belongs to that tenant.

        Raises:
            NotFound: there is no such upload.
        """
        data = cast(str | None, self._redis.get(upload_key(kind, upload_id))) if is_id(upload_id) else None
        upload = Upload.model_validate_json(data) if data else None
        if upload is None or (tenant is not None and upload.tenant != tenant):
            raise NotFound(f"there is no {kind} {upload_id!r}")
        return upload

    def uploads(self, tenant: str, kind: Kind, limit: int, cursor: str | None) -> tuple[list[Upload], str | None]:
        """Return a page of models or datasets, newest first, and the next cursor."""
        ids, following = self._page(index_key(tenant, kind), limit, cursor)
        documents = cast(list[str | None], self._redis.mget([upload_key(kind, name) for name in ids])) if ids else []
        return [Upload.model_validate_json(data) for data in documents if data is not None], following

    def unused_since(self, time_s: float) -> list[tuple[Kind, str]]:
        """Return kind and id of the uploads that were neither stored nor used by a job since `time_s` (Unix time)."""
        keys = cast(list[str], self._redis.zrangebyscore(USED, "-inf", f"({time_s}"))
        return [(cast(Kind, key.split(":")[1]), key.split(":")[2]) for key in keys]

    def delete_upload(self, kind: Kind, upload: Upload, unused_since: float | None = None) -> None:
        """Remove the record; with `unused_since`, only if it was neither stored nor used by a job since then.

        Raises:
            Conflict: a job that has not ended uses it, or it was used since.
        """
        document = {
            "id": upload.id, "sha256": upload.sha256, "size": upload.size, "api_key": upload.api_key,
            "unused_since": unused_since, "expire": EXPIRE_S,
        }  # fmt: skip
        user = self._run("delete_upload", _keys(kind, upload), document)
        if user is not None:
            raise Conflict(f"{kind} {upload.id!r} is used by job {str(user)!r}; wait for its end or cancel it")

    def stored_bytes(self, api_key: str) -> int:
        """Return the bytes stored for an API key: uploads and artifacts."""
        return int(cast(str | None, self._redis.hget(USAGE_BYTES, api_key)) or 0)


def _storage_full(used: str, limit: int | None, upload: Upload) -> StorageFull:
    return StorageFull(
        f"{used} of the {limit} bytes of this API key are in use and the upload has {upload.size}; delete models, "
        "datasets or jobs"
    )


def _keys(kind: Kind, upload: Upload) -> list[str]:
    return [upload_key(kind, upload.id), digests_key(upload.tenant, kind), index_key(upload.tenant, kind)]


def _fingerprint(kind: Kind, upload: Upload) -> str:
    """Return the fingerprint of the request that an idempotency key stands for."""
    return f"{kind}:{upload.sha256}"

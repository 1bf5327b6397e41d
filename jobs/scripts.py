"""The Lua scripts of the records: each one checks and changes in one step, so that a crash leaves all or nothing.

`document` is the first argument, a JSON object with what the script is to know. Names of a tenant are put together
from the job's own fields, so Redis must be one server (or one with replicas), not a cluster.
"""

from string import Template

from jobs import redis_keys

_PRELUDE = """
local document = cjson.decode(ARGV[1])
local function field(job, name)
  local value = cjson.decode(redis.call('HGET', job, name) or 'null')
  if value ~= cjson.null then return value end
end
local function index(job, part) return 'qd:tenant:' .. field(job, 'tenant') .. ':jobs:' .. part end
local function write(job, id, old)
  for i = 2, #ARGV, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end
  local status = field(job, 'status')
  if status == old then return end
  if old then redis.call('ZREM', index(job, 'status:' .. old), id) end
  redis.call('ZADD', index(job, 'status:' .. status), 0, id)
  if status == 'queued' then redis.call('ZADD', '$queued', document.now, id)
  else redis.call('ZREM', '$queued', id) end
end
local function close(job, id, events)
  local key = field(job, 'api_key') or ''
  redis.call('ZREM', '$open', id)
  redis.call('HINCRBY', '$usage_jobs', key, -1)
  redis.call('HINCRBY', '$usage_bytes', key, document.bytes)
  redis.call('ZADD', '$ended', document.now, id)
  if field(job, 'status') == 'succeeded' and (field(job, 'work') or '') ~= '' then
    redis.call('HSET', 'qd:tenant:' .. field(job, 'tenant') .. ':results', field(job, 'work'), id)
  end
  if not document.restored then
    redis.call('SADD', '$unarchived', id)
    if field(job, 'webhook') then redis.call('ZADD', '$webhooks', document.now, id) end
  end
  redis.call('EXPIRE', events, document.expire)
end
"""

CREATE = """
local job, events, idempotency = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', job) == 1 then return 'known ' .. document.id end
local earlier = idempotency ~= '' and redis.call('GET', idempotency)
if earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1 then return earlier end
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 and not document.restored then return 'missing ' .. KEYS[i] end
end
local open = tonumber(redis.call('HGET', '$usage_jobs', document.api_key) or '0')
if document.open_jobs and open >= document.open_jobs then return 'quota ' .. open end
write(job, document.id)
for i = 4, #KEYS do redis.call('ZADD', '$used', 'XX', 'GT', document.now, KEYS[i]) end
redis.call('ZADD', document.index, 0, document.id)
for _, tag in ipairs(document.tags) do redis.call('ZADD', index(job, 'tag:' .. tag), 0, document.id) end
redis.call('ZADD', '$open', document.due, document.id)
redis.call('HINCRBY', '$usage_jobs', document.api_key, 1)
redis.call('XADD', events, '*', 'event', 'state', 'data', document.state)
if idempotency ~= '' then redis.call('SET', idempotency, document.idempotency, 'EX', document.expire) end
if document.final then close(job, document.id, events) end
return false
"""

CHANGE = """
local job, events = KEYS[1], KEYS[2]
local status = field(job, 'status')
if not status then return 'missing' end
local lease = tonumber(redis.call('HGET', job, 'lease') or '0')
local owner = redis.call('HGET', job, 'owner') or ''
local allowed = false
for _, from in ipairs(document.from) do allowed = allowed or status == from end
if document.expired_before and status == 'running' then allowed = lease < document.expired_before end
if document.owner and owner ~= document.owner then return 'lost' end
if not allowed then return status end
write(job, document.id, status)
if document.claim then
  redis.call('HINCRBY', job, 'attempt', 1)
  redis.call('HDEL', job, 'resent')
  redis.call('ZADD', '$open', 'XX', redis.call('HGET', job, 'lease'), document.id)
end
if document.event then
  redis.call('XADD', events, 'MAXLEN', '~', document.keep, '*', 'event', document.event, 'data', document.data)
end
if document.final then close(job, document.id, events) end
return redis.call('HGET', job, 'cancel') == '1' and 'cancel' or 'ok'
"""

DELETE_JOB = """
local job, events = KEYS[1], KEYS[2]
local status = field(job, 'status')
if not status then return false end
if status == 'queued' or status == 'running' then return status end
local results, work = 'qd:tenant:' .. field(job, 'tenant') .. ':results', field(job, 'work') or ''
if redis.call('HGET', results, work) == document.id then redis.call('HDEL', results, work) end
redis.call('HINCRBY', '$usage_bytes', field(job, 'api_key') or '', 0 - document.bytes)  -- Redis 7 takes no -0
redis.call('ZREM', document.index, document.id)
redis.call('ZREM', index(job, 'status:' .. status), document.id)
for _, tag in ipairs(document.tags) do redis.call('ZREM', index(job, 'tag:' .. tag), document.id) end
redis.call('ZREM', '$ended', document.id)
redis.call('ZREM', '$webhooks', document.id)
redis.call('SREM', '$unarchived', document.id)
redis.call('DEL', job, events)
return false
"""

ADD_UPLOAD = """
local upload, digests, ids, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local earlier = idempotency ~= '' and redis.call('GET', idempotency)
if earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1 then return 'earlier ' .. earlier end
local function remember(id)
  local value = document.fingerprint .. ' ' .. document.prefix .. id
  if idempotency ~= '' then redis.call('SET', idempotency, value, 'EX', document.expire) end
end
local known = redis.call('HGET', digests, document.sha256)
if known then
  redis.call('ZADD', '$used', 'GT', document.now, document.prefix .. known)
  remember(known)
  return 'known ' .. known
end
local stored = tonumber(redis.call('HGET', '$usage_bytes', document.api_key) or '0')
if document.limit and stored + document.size > document.limit then return 'quota ' .. stored end
redis.call('SET', upload, ARGV[2])
redis.call('HSET', digests, document.sha256, document.id)
redis.call('ZADD', ids, 0, document.id)
redis.call('ZADD', '$used', document.now, upload)
redis.call('HINCRBY', '$usage_bytes', document.api_key, document.size)
remember(document.id)
return false
"""

DELETE_UPLOAD = """
local upload, digests, ids = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', upload) == 0 then return false end
local used = tonumber(redis.call('ZSCORE', '$used', upload) or '0')
if document.unused_since and used > document.unused_since then return 'later' end
local wanted = cjson.encode(document.id)
for _, job in ipairs(redis.call('ZRANGE', '$open', 0, -1)) do
  for _, input in ipairs(redis.call('HMGET', 'qd:job:' .. job, 'model', 'calibration', 'evaluation')) do
    if input == wanted then return job end
  end
end
redis.call('DEL', upload)
redis.call('HDEL', digests, document.sha256)
redis.call('ZREM', ids, document.id)
redis.call('ZREM', '$used', upload)
redis.call('HINCRBY', '$usage_bytes', document.api_key, 0 - document.size)
return false
"""

CLAIM_STALE = """
local stale = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', '$open', '-inf', document.now, 'LIMIT', 0, document.count)) do
  local job = 'qd:job:' .. id
  local lease = tonumber(redis.call('HGET', job, 'lease') or '0')
  if field(job, 'status') == 'running' and lease > document.now then
    redis.call('ZADD', '$open', lease, id)
  else
    local resent = redis.call('HINCRBY', job, 'resent', 1)
    redis.call('ZADD', '$open', document.now + document.lease * 2 ^ resent, id)
    stale[#stale + 1] = id
  end
end
return stale
"""

CLAIM_WEBHOOKS = """
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', '$webhooks', '-inf', document.now, 'LIMIT', 0, document.count)) do
  local job = 'qd:job:' .. id
  if redis.call('EXISTS', job) == 1 then
    redis.call('ZADD', '$webhooks', document.now + document.lease, id)
    claimed[#claimed + 1] = {id, redis.call('HINCRBY', job, 'webhook_attempts', 1)}
  else
    redis.call('ZREM', '$webhooks', id)
  end
end
return claimed
"""


def script(text: str) -> str:
    """The text with what all scripts share, and with the names that Python uses, too."""
    return Template(_PRELUDE + text).substitute(
        open=redis_keys.OPEN,
        queued=redis_keys.QUEUED,
        ended=redis_keys.ENDED,
        used=redis_keys.USED,
        unarchived=redis_keys.UNARCHIVED,
        webhooks=redis_keys.WEBHOOKS,
        usage_jobs=redis_keys.USAGE_JOBS,
        usage_bytes=redis_keys.USAGE_BYTES,
    )

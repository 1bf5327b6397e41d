-- Definitions shared by all scripts. `document` is the first argument: a JSON object with the script's parameters.
-- Names with a leading dollar sign are replaced by the constants of jobs/redis_keys.py when a script is loaded.
local document = cjson.decode(ARGV[1])
-- Leases are times of this one clock, whatever the clocks of gateways and workers say.
local clock = (function() local t = redis.call('TIME') return tonumber(t[1]) + tonumber(t[2]) / 1000000 end)()
local now = document.now or clock -- a record that is restored has its own time
local function field(job, name)
  local value = cjson.decode(redis.call('HGET', job, name) or 'null')
  if value ~= cjson.null then return value end
end
local function kind(job) return field(job, 'kind') or 'job' end
local function tenant_index(tenant, kind, part) return 'qd:tenant:' .. tenant .. ':' .. kind .. 's:' .. part end
local function index(job, part) return tenant_index(field(job, 'tenant'), kind(job), part) end
-- Jobs that wait for a worker are in the queue of their tenant, and tenants with such jobs take turns. A queue is in the
-- order in which its jobs were queued, less ten minutes for each step of priority: a low priority delays a job, but not
-- for ever. Jobs whose worker was lost come first.
-- A job is in no queue while one of its inputs is fetched. The record of a fetch has the id of the upload.
local function fetched(id)
  local status = field('qd:job:' .. id, 'status')
  return status == 'queued' or status == 'running'
end
local function inputs(job)
  local ids = {}
  for _, role in ipairs(kind(job) == 'fetch' and {} or {'model', 'calibration', 'evaluation'}) do
    local id = field(job, role)
    if id then ids[#ids + 1] = id end
  end
  return ids
end
local function held(job)
  for _, id in ipairs(inputs(job)) do
    if fetched(id) then return true end
  end
  return false
end
local function missing(upload)
  return redis.call('EXISTS', upload) == 0 and not fetched(string.match(upload, '.*:(.*)'))
end
-- Return what an idempotency key stands for, 'FINGERPRINT KEY', while the record with this key exists.
local function remembered(idempotency)
  local earlier = idempotency ~= '' and redis.call('GET', idempotency)
  if earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1 then return earlier end
end
-- Return why a record with `new` jobs is not created: 'known ID', 'gone ID', 'FINGERPRINT KEY' (the earlier record of
-- its idempotency key), 'missing KEY' or 'quota N'. KEYS from `first` on are the uploads that its jobs use.
-- A record that is restored was accepted once: its uploads may be lost, and no quota refuses it.
local function refusal(record, idempotency, first, new)
  if redis.call('EXISTS', record) == 1 then return 'known ' .. document.id end
  if document.restored then
    return redis.call('EXISTS', '$gone' .. document.id) == 1 and 'gone ' .. document.id
  end
  local earlier = remembered(idempotency)
  if earlier then return earlier end
  for i = first, #KEYS do
    if missing(KEYS[i]) then return 'missing ' .. KEYS[i] end
  end
  local open = tonumber(redis.call('HGET', '$usage_jobs', document.api_key) or '0')
  return document.open_jobs and open + new > document.open_jobs and 'quota ' .. open
end
-- Note that the uploads of a new record are used, and what its idempotency key stands for, unless that is known.
local function accept(idempotency, first)
  for i = first, #KEYS do redis.call('ZADD', '$used', 'XX', 'GT', now, KEYS[i]) end
  local left = document.expire - (document.restored and math.floor(clock - now) or 0)
  if idempotency ~= '' and left > 0 and not remembered(idempotency) then
    redis.call('SET', idempotency, document.idempotency, 'EX', left)
  end
end
local function waits(job)
  local status, lease = field(job, 'status'), tonumber(redis.call('HGET', job, 'lease') or '0')
  return (status == 'queued' and not held(job)) or (status == 'running' and lease < clock)
end
local function last_turn(turns) return tonumber(redis.call('ZRANGE', turns, -1, -1, 'WITHSCORES')[2] or '0') end
local function enter(job, id)
  local turns, since = '$turns:' .. kind(job), redis.call('ZSCORE', '$queued', id)
  redis.call('ZADD', index(job, 'waiting'), since and since - 600 * (field(job, 'priority') or 0) or 0, id)
  redis.call('ZADD', turns, 'NX', last_turn(turns) + 1, field(job, 'tenant'))
end
local function leave(job, id)
  local queue = index(job, 'waiting')
  redis.call('ZREM', queue, id)
  if redis.call('EXISTS', queue) == 0 then redis.call('ZREM', '$turns:' .. kind(job), field(job, 'tenant')) end
end
-- No document restores the record with this id any more: it was deleted, or refused after its document was written.
local function forget(id) redis.call('SET', '$gone' .. id, '', 'EX', document.expire) end
-- Write the fields of a job, which are `values` from `first` on: name, JSON value, name, JSON value.
local function write(job, id, old, values, first)
  for i = first, #values, 2 do redis.call('HSET', job, values[i], values[i + 1]) end
  local status = field(job, 'status')
  if status == old then return end
  if old then redis.call('ZREM', index(job, 'status:' .. old), id) end
  redis.call('ZADD', index(job, 'status:' .. status), 0, id)
  if status == 'queued' then
    redis.call('ZADD', '$queued', now, id)
    if not held(job) then enter(job, id) end
  else
    redis.call('ZREM', '$queued', id)
    leave(job, id)
  end
end
-- A batch ends in the step that ends the last of its jobs. Jobs that were deleted before do not count.
local function end_batch(batch, id)
  local status, verdict, finished_at = 'succeeded', cjson.null, field(batch, 'created_at')
  for _, job_id in ipairs(field(batch, 'jobs')) do
    local job = 'qd:job:' .. job_id
    local ended, judged, at = field(job, 'status'), field(job, 'verdict'), field(job, 'finished_at')
    if ended == 'failed' or (ended == 'cancelled' and status ~= 'failed') then status = ended end
    if judged == 'fail' or (judged and verdict == cjson.null) then verdict = judged end
    if at and at > finished_at then finished_at = at end
  end
  local events, state = 'qd:job:' .. id .. ':events', cjson.encode({status = status, final = true})
  redis.call('HSET', batch, 'status', cjson.encode(status), 'verdict', cjson.encode(verdict))
  redis.call('HSET', batch, 'finished_at', cjson.encode(finished_at))
  redis.call('ZADD', '$ended_batches', clock, id)
  redis.call('SADD', '$unarchived_batches', id)
  if field(batch, 'webhook') then redis.call('ZADD', '$webhooks', clock, id) end
  redis.call('XADD', events, '*', 'event', 'state', 'data', state)
  redis.call('EXPIRE', events, document.expire)
end
local function leave_batch(id, job_id)
  local batch = 'qd:batch:' .. id
  redis.call('SREM', batch .. ':open', job_id)
  if field(batch, 'status') == 'running' and redis.call('EXISTS', batch .. ':open') == 0 then end_batch(batch, id) end
end
-- The usage of a day is kept for 400 days.
local function count_usage(tenant, figure, amount)
  local day = '$usage_day' .. math.floor(now / 86400)
  redis.call('HINCRBYFLOAT', day, tenant .. ' ' .. figure, amount)
  redis.call('EXPIRE', day, 34560000)
end
local function count_job(job, bytes)
  local tenant, began = field(job, 'tenant'), tonumber(redis.call('HGET', job, 'began') or '0')
  count_usage(tenant, 'jobs_' .. field(job, 'status'), 1)
  if field(job, 'cached') then count_usage(tenant, 'jobs_cached', 1) end
  count_usage(tenant, 'job_seconds', document.seconds or (began > 0 and clock - began) or 0)
  count_usage(tenant, 'artifact_bytes', bytes)
end
local function close(job, id, events, bytes)
  local key = field(job, 'api_key') or ''
  redis.call('ZREM', '$open', id)
  redis.call('HINCRBY', '$usage_jobs', key, -1)
  redis.call('HINCRBY', '$usage_bytes', key, bytes)
  redis.call('ZADD', '$ended', now, id)
  if kind(job) == 'job' then count_job(job, bytes) end
  local verdict = field(job, 'verdict')
  if verdict then redis.call('ZADD', index(job, 'verdict:' .. verdict), 0, id) end
  if field(job, 'status') == 'succeeded' and (field(job, 'work') or '') ~= '' then
    redis.call('HSET', 'qd:tenant:' .. field(job, 'tenant') .. ':results', field(job, 'work'), id)
  end
  if not document.restored then redis.call('SADD', '$unarchived', id) end
  -- The webhook of a restored job that ended in the last ten minutes may not have been sent.
  local lately = not document.restored or clock - now < 600
  if lately and field(job, 'webhook') then redis.call('ZADD', '$webhooks', now, id) end
  redis.call('EXPIRE', events, document.expire)
  for _, waiting in ipairs(redis.call('SMEMBERS', '$awaiting' .. id)) do -- jobs whose input was fetched
    if waits('qd:job:' .. waiting) then enter('qd:job:' .. waiting, waiting) end
  end
  redis.call('EXPIRE', '$awaiting' .. id, document.expire)
  local copies = field(job, 'destination')
  if copies and copies.finished_at == cjson.null and field(job, 'status') == 'succeeded' then
    redis.call('ZADD', '$copies', clock, id)
  end
  local batch = field(job, 'batch')
  if batch then leave_batch(batch, id) end
end
-- Add the record of a job, its indexes and its first event. `part` has its id, kind, index, tags, state and so on.
local function add(job, events, part, values, first)
  write(job, part.id, nil, values, first)
  redis.call('ZADD', part.index, 0, part.id)
  redis.call('ZADD', index(job, 'model:' .. field(job, 'model')), 0, part.id)
  for _, tag in ipairs(part.tags) do redis.call('ZADD', index(job, 'tag:' .. tag), 0, part.id) end
  redis.call('ZADD', '$open', clock + document.lease, part.id)
  redis.call('HINCRBY', '$usage_jobs', part.api_key, 1)
  redis.call('XADD', events, '*', 'event', 'state', 'data', part.state)
  if not document.restored then redis.call('SADD', '$unarchived', part.id) end
  for _, input in ipairs(inputs(job)) do
    if fetched(input) then redis.call('SADD', '$awaiting' .. input, part.id) end
  end
  if part.kind == 'plan' and not part.final then redis.call('RPUSH', '$plans', part.id) end
  local batch = field(job, 'batch')
  if batch and not part.final and field('qd:batch:' .. batch, 'status') == 'running' then
    redis.call('SADD', 'qd:batch:' .. batch .. ':open', part.id)
  end
  if part.final then close(job, part.id, events, part.bytes) end
end

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
local function waits(job)
  local status, lease = field(job, 'status'), tonumber(redis.call('HGET', job, 'lease') or '0')
  return status == 'queued' or (status == 'running' and lease < clock)
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
local function write(job, id, old)
  for i = 2, #ARGV, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end
  local status = field(job, 'status')
  if status == old then return end
  if old then redis.call('ZREM', index(job, 'status:' .. old), id) end
  redis.call('ZADD', index(job, 'status:' .. status), 0, id)
  if status == 'queued' then
    redis.call('ZADD', '$queued', now, id)
    enter(job, id)
  else
    redis.call('ZREM', '$queued', id)
    leave(job, id)
  end
end
local function close(job, id, events)
  local key = field(job, 'api_key') or ''
  redis.call('ZREM', '$open', id)
  redis.call('HINCRBY', '$usage_jobs', key, -1)
  redis.call('HINCRBY', '$usage_bytes', key, document.bytes)
  redis.call('ZADD', '$ended', now, id)
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
end

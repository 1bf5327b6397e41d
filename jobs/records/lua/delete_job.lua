-- Delete the record of an ended job. Returns false, or the state of a job that has not ended.
-- KEYS: job, its events.
local job, events = KEYS[1], KEYS[2]
local status = field(job, 'status')
if not status then return false end
if status == 'queued' or status == 'running' then return status end
local results, work = 'qd:tenant:' .. field(job, 'tenant') .. ':results', field(job, 'work') or ''
if redis.call('HGET', results, work) == document.id then redis.call('HDEL', results, work) end
redis.call('HINCRBY', '$usage_bytes', field(job, 'api_key') or '', 0 - document.bytes)  -- Redis 7 takes no -0
redis.call('ZREM', document.index, document.id)
redis.call('ZREM', index(job, 'status:' .. status), document.id)
redis.call('ZREM', index(job, 'model:' .. field(job, 'model')), document.id)
redis.call('ZREM', index(job, 'verdict:' .. (field(job, 'verdict') or '')), document.id)
for _, tag in ipairs(document.tags) do redis.call('ZREM', index(job, 'tag:' .. tag), document.id) end
redis.call('ZREM', '$ended', document.id)
redis.call('ZREM', '$webhooks', document.id)
redis.call('ZREM', '$copies', document.id)
redis.call('SREM', '$unarchived', document.id)
redis.call('DEL', job, events)
forget(document.id)
return false

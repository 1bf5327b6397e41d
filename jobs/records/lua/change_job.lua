-- Change a job if it is in the expected state, and append the event of the change.
-- Returns 'ok', 'cancel' (changed, and the caller asked to stop), 'lost', 'missing' or the state that refused it.
-- KEYS: job, its events. ARGV[2..]: field, value, ...
local job, events = KEYS[1], KEYS[2]
local status = field(job, 'status')
if not status then return 'missing' end
local lease = tonumber(redis.call('HGET', job, 'lease') or '0')
local owner = redis.call('HGET', job, 'owner') or ''
local allowed = false
for _, from in ipairs(document.from) do allowed = allowed or status == from end
if document.or_expired and status == 'running' then allowed = lease < clock end
if document.owner and owner ~= document.owner then return 'lost' end
if not allowed then return status end
write(job, document.id, status, ARGV, 2)
if document.lease then redis.call('HSET', job, 'lease', clock + document.lease) end
if document.claim then
  redis.call('HINCRBY', job, 'attempt', 1)
  redis.call('HSET', job, 'began', clock)
  redis.call('HDEL', job, 'resent')
  leave(job, document.id)
  redis.call('ZADD', '$open', 'XX', redis.call('HGET', job, 'lease'), document.id)
end
if document.release then
  redis.call('HSET', job, 'lease', 0)
  redis.call('ZADD', '$open', 'XX', clock, document.id)
end
if document.event then
  redis.call('XADD', events, 'MAXLEN', '~', document.keep, '*', 'event', document.event, 'data', document.data)
end
if document.final then close(job, document.id, events, document.bytes) end
return redis.call('HGET', job, 'cancel') == '1' and 'cancel' or 'ok'

-- Delete the record of an ended batch. Returns false, or 'running'.
-- KEYS: batch, its events, batches of the tenant.
local status = field(KEYS[1], 'status')
if not status then return false end
if status == 'running' and not document.refused then return status end
redis.call('ZREM', KEYS[3], document.id)
redis.call('ZREM', '$ended_batches', document.id)
redis.call('ZREM', '$webhooks', document.id)
redis.call('SREM', '$unarchived_batches', document.id)
redis.call('DEL', KEYS[1], KEYS[2])
forget(document.id)
return false

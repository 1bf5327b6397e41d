-- Delete an upload that no open job uses. Returns false, or the job that uses it, or 'later' if it was used since.
-- KEYS: upload, digests of the tenant, ids of the tenant.
local upload, digests, ids = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', upload) == 0 then return false end
local used = tonumber(redis.call('ZSCORE', '$used', upload) or '0')
if document.unused_since and used > document.unused_since then return 'later' end
local upload_id = cjson.encode(document.id)
for _, job in ipairs(redis.call('ZRANGE', '$open', 0, -1)) do
  for _, input in ipairs(redis.call('HMGET', 'qd:job:' .. job, 'model', 'calibration', 'evaluation')) do
    if input == upload_id then return job end
  end
end
redis.call('DEL', upload)
forget(document.id)
if redis.call('HGET', digests, document.sha256) == document.id then redis.call('HDEL', digests, document.sha256) end
redis.call('ZREM', ids, document.id)
redis.call('ZREM', '$used', upload)
redis.call('HINCRBY', '$usage_bytes', document.api_key, 0 - document.size)
return false

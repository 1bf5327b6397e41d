-- Add an upload. Returns false, or 'known ID' (same bytes), 'earlier FINGERPRINT KEY' (same idempotency key), 'quota N'.
-- KEYS: upload, digests of the tenant, ids of the tenant, idempotency key or ''. ARGV[2]: the upload's document.
local upload, digests, ids, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local earlier = idempotency ~= '' and redis.call('GET', idempotency)
if earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1 then return 'earlier ' .. earlier end
local function remember(id)
  local value = document.fingerprint .. ' ' .. document.prefix .. id
  if idempotency ~= '' then redis.call('SET', idempotency, value, 'EX', document.expire) end
end
local known = redis.call('HGET', digests, document.sha256)
if known and (known == document.id or not document.named) then
  redis.call('ZADD', '$used', 'GT', now, document.prefix .. known)
  remember(known)
  return 'known ' .. known
end
local stored = tonumber(redis.call('HGET', '$usage_bytes', document.api_key) or '0')
if document.limit and stored + document.size > document.limit then return 'quota ' .. stored end
if redis.call('EXISTS', upload) == 1 then return false end
redis.call('SET', upload, ARGV[2])
redis.call('HSETNX', digests, document.sha256, document.id)
redis.call('ZADD', ids, 0, document.id)
redis.call('ZADD', '$used', now, upload)
redis.call('HINCRBY', '$usage_bytes', document.api_key, document.size)
remember(document.id)
return false

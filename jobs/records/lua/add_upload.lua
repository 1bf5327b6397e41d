-- Add an upload. Returns false, or 'known ID' (same bytes), 'earlier FINGERPRINT KEY' (same idempotency key), 'quota N'.
-- KEYS: upload, digests of the tenant, ids of the tenant, idempotency key or ''. ARGV[2]: the upload's document.
local upload, digests, ids, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local exists = redis.call('EXISTS', upload) == 1
if document.restored and (exists or redis.call('EXISTS', '$gone' .. document.id) == 1) then
  return 'known ' .. document.id
end
local function remember(id)
  local value = document.fingerprint .. ' ' .. document.prefix .. id
  if idempotency ~= '' then redis.call('SET', idempotency, value, 'EX', document.expire) end
end
if exists then -- it was restored from its document before this step of its own request
  remember(document.id)
  return false
end
local earlier = remembered(idempotency)
if earlier then
  forget(document.id)
  return 'earlier ' .. earlier
end
local known = redis.call('HGET', digests, document.sha256)
if known and not document.restored then
  redis.call('ZADD', '$used', 'GT', now, document.prefix .. known)
  remember(known)
  forget(document.id)
  return 'known ' .. known
end
local stored = tonumber(redis.call('HGET', '$usage_bytes', document.api_key) or '0')
if document.limit and stored + document.size > document.limit then
  forget(document.id)
  return 'quota ' .. stored
end
redis.call('SET', upload, ARGV[2])
redis.call('HSETNX', digests, document.sha256, document.id)
redis.call('ZADD', ids, 0, document.id)
redis.call('ZADD', '$used', now, upload)
redis.call('HINCRBY', '$usage_bytes', document.api_key, document.size)
remember(document.id)
count_usage(document.tenant, 'uploads', 1)
count_usage(document.tenant, 'uploaded_bytes', document.size)
return false

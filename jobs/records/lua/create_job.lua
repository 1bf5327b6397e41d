-- Create a job. Returns false, or why not: 'known ID', 'gone ID', 'FINGERPRINT JOB', 'missing KEY', 'quota N'.
-- KEYS: job, its events, idempotency key or '', then the uploads that the job uses. ARGV[2..]: field, value, ...
local job, events, idempotency = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', job) == 1 then return 'known ' .. document.id end
if document.restored and redis.call('EXISTS', '$gone' .. document.id) == 1 then return 'gone ' .. document.id end
local earlier = idempotency ~= '' and redis.call('GET', idempotency)
local used = earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1
if used and not document.restored then return earlier end
for i = 4, #KEYS do
  if missing(KEYS[i]) and not document.restored then return 'missing ' .. KEYS[i] end
end
local open = tonumber(redis.call('HGET', '$usage_jobs', document.api_key) or '0')
if document.open_jobs and open >= document.open_jobs then return 'quota ' .. open end
for i = 4, #KEYS do redis.call('ZADD', '$used', 'XX', 'GT', now, KEYS[i]) end
local left = document.expire - (document.restored and math.floor(clock - now) or 0)
if idempotency ~= '' and not used and left > 0 then redis.call('SET', idempotency, document.idempotency, 'EX', left) end
add(job, events, document, ARGV, 2)
return false

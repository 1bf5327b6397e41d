-- Create a batch with all of its jobs, or nothing. Returns false, or why not: 'known ID', 'gone ID', 'FINGERPRINT BATCH',
-- 'missing KEY', 'quota N'. A batch that is restored finds those of its jobs that exist; it ends if all of them have.
-- KEYS: batch, its open jobs, idempotency key or '', batches of the tenant, then the uploads that the jobs use.
-- ARGV[2]: the jobs. ARGV[3..]: field, value, ... of the batch.
local batch, open, idempotency, batches = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local jobs = cjson.decode(ARGV[2])
if redis.call('EXISTS', batch) == 1 then return 'known ' .. document.id end
if document.restored and redis.call('EXISTS', '$gone' .. document.id) == 1 then return 'gone ' .. document.id end
local earlier = idempotency ~= '' and redis.call('GET', idempotency)
local used = earlier and redis.call('EXISTS', string.match(earlier, ' (.*)')) == 1
if used and not document.restored then return earlier end
for i = 5, #KEYS do
  if missing(KEYS[i]) then return 'missing ' .. KEYS[i] end
end
local count = tonumber(redis.call('HGET', '$usage_jobs', document.api_key) or '0')
if document.open_jobs and count + document.new > document.open_jobs then return 'quota ' .. count end
for i = 3, #ARGV, 2 do redis.call('HSET', batch, ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', batches, 0, document.id)
for i = 5, #KEYS do redis.call('ZADD', '$used', 'XX', 'GT', now, KEYS[i]) end
local left = document.expire - (document.restored and math.floor(clock - now) or 0)
if idempotency ~= '' and not used and left > 0 then redis.call('SET', idempotency, document.idempotency, 'EX', left) end
if document.final then
  redis.call('ZADD', '$ended_batches', now, document.id)
  if clock - now < 600 and field(batch, 'webhook') then redis.call('ZADD', '$webhooks', now, document.id) end
elseif document.restored then
  for _, id in ipairs(field(batch, 'jobs')) do
    local status = field('qd:job:' .. id, 'status')
    if status == 'queued' or status == 'running' then redis.call('SADD', open, id) end
  end
  if redis.call('EXISTS', open) == 0 then end_batch(batch, document.id) end
else
  redis.call('SADD', '$unarchived_batches', document.id)
  for _, part in ipairs(jobs) do redis.call('SADD', open, part.id) end -- first: a job with a stored result ends at once
  for _, part in ipairs(jobs) do add('qd:job:' .. part.id, 'qd:job:' .. part.id .. ':events', part, part.fields, 1) end
end
return false

-- Create a batch with all of its jobs, or nothing. Returns false, or why not: 'known ID', 'gone ID', 'FINGERPRINT BATCH',
-- 'missing KEY', 'quota N'. A batch that is restored finds those of its jobs that exist; it ends if all of them have.
-- KEYS: batch, its open jobs, idempotency key or '', batches of the tenant, then the uploads that the jobs use.
-- ARGV[2]: the jobs. ARGV[3..]: field, value, ... of the batch.
local batch, open, idempotency, batches = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local jobs = cjson.decode(ARGV[2])
local refused = refusal(batch, idempotency, 5, document.new)
if refused then return refused end
accept(idempotency, 5)
for i = 3, #ARGV, 2 do redis.call('HSET', batch, ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', batches, 0, document.id)
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

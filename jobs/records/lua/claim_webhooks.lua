-- Return {id, attempt} of the webhooks that are due, and lease them to the caller.
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', '$webhooks', '-inf', document.now, 'LIMIT', 0, document.count)) do
  local job = 'qd:job:' .. id
  if redis.call('EXISTS', job) == 1 then
    redis.call('ZADD', '$webhooks', document.now + document.lease, id)
    claimed[#claimed + 1] = {id, redis.call('HINCRBY', job, 'webhook_attempts', 1)}
  else
    redis.call('ZREM', '$webhooks', id)
  end
end
return claimed

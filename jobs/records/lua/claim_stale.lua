-- Return the ids of jobs whose message must be sent again; they are then in a queue. Postpone their next check.
local stale = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', '$open', '-inf', clock, 'LIMIT', 0, document.count)) do
  local job = 'qd:job:' .. id
  local lease = tonumber(redis.call('HGET', job, 'lease') or '0')
  local status = field(job, 'status')
  if not status then -- the record is lost: a count in it would make half a record, which nobody can read
    redis.call('ZREM', '$open', id)
  elseif status == 'running' and lease > clock then
    redis.call('ZADD', '$open', lease, id)
  else
    local resent = redis.call('HINCRBY', job, 'resent', 1)
    redis.call('ZADD', '$open', clock + document.lease * 2 ^ resent, id)
    enter(job, id)
    stale[#stale + 1] = id
  end
end
return stale

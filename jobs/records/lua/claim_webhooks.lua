-- Return {id, attempt} of those of the webhooks `ids` that are still due, and lease them to the caller.
local claimed = {}
for _, id in ipairs(document.ids) do
  local due = redis.call('ZSCORE', '$webhooks', id)
  local record = (string.sub(id, 1, 6) == 'batch_' and 'qd:batch:' or 'qd:job:') .. id
  if due and not field(record, 'status') then -- the record is lost: a count in it would make half a record
    redis.call('ZREM', '$webhooks', id)
  elseif due and tonumber(due) <= clock then
    redis.call('ZADD', '$webhooks', clock + document.lease, id)
    claimed[#claimed + 1] = {id, redis.call('HINCRBY', record, 'webhook_attempts', 1)}
  end
end
return claimed

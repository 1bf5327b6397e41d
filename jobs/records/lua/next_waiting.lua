-- Return the id of the oldest waiting job of the tenant whose turn it is, or false. The tenant's next turn is the last.
-- The job stays in the queue until it is claimed. `document.sent` is a job that enters it if it waits outside.
local sent, turns = document.sent and 'qd:job:' .. document.sent, '$turns:' .. document.kind
if sent and waits(sent) then enter(sent, document.sent) end
while true do
  local tenant = redis.call('ZRANGE', turns, 0, 0)[1]
  if not tenant then return false end
  local queue = tenant_index(tenant, document.kind, 'waiting')
  local id = redis.call('ZRANGE', queue, 0, 0)[1]
  if not id then
    redis.call('ZREM', turns, tenant)
  elseif waits('qd:job:' .. id) then
    if redis.call('ZCARD', turns) > 1 then redis.call('ZADD', turns, last_turn(turns) + 1, tenant) end
    return id
  else -- its worker was thought to be lost, but goes on
    redis.call('ZREM', queue, id)
  end
end

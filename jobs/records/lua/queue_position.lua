-- Return the place of a waiting job, from 1, in the order in which jobs are taken if no other comes; else false.
-- KEYS: job. Each other tenant has as many turns before it as its own tenant, one more if its turn is earlier.
local job, before = KEYS[1], 1
local own = field(job, 'tenant')
local rank = own and redis.call('ZRANK', index(job, 'waiting'), document.id)
if not rank then return false end
local place = rank + 1
for _, tenant in ipairs(redis.call('ZRANGE', '$turns:' .. kind(job), 0, -1)) do
  if tenant == own then
    before = 0
  else
    place = place + math.min(redis.call('ZCARD', tenant_index(tenant, kind(job), 'waiting')), rank + before)
  end
end
return place

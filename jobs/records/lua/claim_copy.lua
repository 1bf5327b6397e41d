-- Return the id of the ended job whose copy is due first, and lease it to the caller; false if none is due.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', '$copies', '-inf', clock)) do
  if field('qd:job:' .. id, 'status') then
    redis.call('ZADD', '$copies', clock + document.lease, id)
    return id
  end
  redis.call('ZREM', '$copies', id) -- the record is lost
end
return false

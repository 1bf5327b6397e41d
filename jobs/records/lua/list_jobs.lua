-- Return a page of jobs, newest first: {the next cursor or false, {the job's {field, value, ...}, ...}}.
-- KEYS: sorted sets of ids. A job of the page is in all of them, its model's name holds `document.name`, and it was
-- created from `document.created_after` on and before `document.created_before`. No id before `document.oldest` is read.
local primary = KEYS[1]
for _, key in ipairs(KEYS) do
  if redis.call('ZCARD', key) < redis.call('ZCARD', primary) then primary = key end
end
local function matches(id)
  for _, key in ipairs(KEYS) do
    if key ~= primary and not redis.call('ZSCORE', key, id) then return false end
  end
  if document.created_after or document.created_before then
    local created = field('qd:job:' .. id, 'created_at') or ''
    if document.created_after and created < document.created_after then return false end
    if document.created_before and created >= document.created_before then return false end
  end
  if not document.name then return true end
  local name = field('qd:job:' .. id, 'model_name') or ''
  return string.find(string.lower(name), string.lower(document.name), 1, true)
end
local page, last, examined = {}, document.cursor, 0
while examined < document.examine do
  local top = last and '(' .. last or '+'
  local ids = redis.call('ZREVRANGEBYLEX', primary, top, '-', 'LIMIT', 0, document.chunk)
  for _, id in ipairs(ids) do
    if document.oldest and id < document.oldest then return {false, page} end
    if matches(id) then
      if #page == document.limit then return {last, page} end
      page[#page + 1] = redis.call('HGETALL', 'qd:job:' .. id)
    end
    last = id
  end
  if #ids < document.chunk then return {false, page} end
  examined = examined + #ids
end
return {last, page}

-- The value if it is fresh, else the lease if it is free, of each record. For each, ARGV has: owner (empty:
-- only looks), lease, known (`*`: send no bytes), floor, whether ahead, interval.
local function ask(key, owner, lease, known, floor, ahead, interval)
  local r = load(key)
  local value = false
  if r.h and known ~= '*' and digits(r.h.w) ~= known then
    value = redis.call('HGET', key, 'v')
    if not value then r.h = nil end
  end
  local h = r.h
  local leased = is_leased(r)
  local over = r.q
  if r.b > 0 then over = math.max(over, r.b + interval) end
  local quiet = now < over
  local fresh = h and h.x == 0 and now < h.f and h.w > floor
  local early = ahead == '1' and owner ~= '' and h and digits(h.w) == known
  local kind, wait = 'L', 0
  if leased and r.o == owner then
    r.l = now + lease
    enter(lease)
    save(r)
  elseif fresh and (not early or leased or quiet) then
    kind = 'F'
  elseif leased then
    kind, wait = 'B', r.l - now
    -- Else its end would move on with the clock.
    if r.moved and owner ~= '' then save(r) end
  elseif quiet then
    kind, wait = 'Q', over - now
    if r.moved and owner ~= '' then save(r) end
  elseif owner == '' then
    kind = 'I'
  else
    enter(math.max(lease, interval))
    r.g, r.o, r.l, r.b = following(r), owner, now + lease, now
    r.t = math.max(r.t, now + interval)
    save(r)
  end
  if not h then return {kind, r.g, wait, r.n, 0} end
  return {kind, r.g, wait, r.n, 1, h.w, math.max(now - h.m, 0), math.max(h.f - now, 0),
    math.max(now - h.f, 0), h.x, value}
end

local answers = {}
for at = 2, #KEYS do
  local n = (at - 2) * 6
  local done, answer = pcall(ask, KEYS[at], ARGV[n + 1], tonumber(ARGV[n + 2]), ARGV[n + 3],
    tonumber(ARGV[n + 4]), ARGV[n + 5], tonumber(ARGV[n + 6]))
  -- An error of one record, such as that there is no room, concerns that record alone.
  if not done then answer = {'E', type(answer) == 'table' and answer.err or tostring(answer)} end
  answers[at - 1] = answer
end
return answers

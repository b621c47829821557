-- Stores a value on a condition. ARGV: condition (L owner number, A, V number, *), owner, number, fresh for,
-- keep for, age, value, channel.
local guard, owner, number = ARGV[1], ARGV[2], ARGV[3]
local r = load(KEYS[2])
local version = r.h and digits(r.h.w) or '0'
if guard == 'L' then
  -- It was sent twice.
  if version ~= '0' and version == number then return {'S', r.h.w} end
  if not r.is or not generation then return {'G', 0} end
  -- A lease that is over stores nothing, even if nobody took it: the server may have been put back to a
  -- state in which the lease was held still.
  if not holds(r, owner, number) or r.l <= now then return {'R', tonumber(version)} end
  r.o, r.n, r.q = '', 0, 0
else
  if guard == 'A' and version ~= '0' then return {'R', r.h.w} end
  if guard == 'V' and version ~= number then return {'R', tonumber(version)} end
  overtake(r)
end
local keep = tonumber(ARGV[5])
enter(math.max(keep, r.t - now))
r.h = {w = r.g, m = math.max(now - tonumber(ARGV[6]), 0), p = now, f = now + tonumber(ARGV[4]),
  k = now + keep, x = 0, y = generation}
save(r, ARGV[7])
-- A commit leaves copies of the value before it to their end, a write does not.
tell(ARGV[8], guard == 'L' and 'C' or 'W', digits(r.g), r.key)
return {'S', r.g}

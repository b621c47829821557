-- Ends a lease without a value. ARGV: owner, number, quiet, channel.
local r = load(KEYS[2])
if not holds(r, ARGV[1], ARGV[2]) then return 0 end
local quiet = tonumber(ARGV[3])
r.o = ''
if quiet > 0 then
  -- For as long again the count of failures tells how long the next span is.
  r.n, r.q, r.t = r.n + 1, now + quiet, math.max(r.t, now + 2 * quiet)
  enter(2 * quiet)
elseif not r.h then
  -- Given up, perhaps by a caller who left: the next one need not wait for that.
  r.b = 0
end
save(r)
tell(ARGV[4], 'R', '0', r.key)
return 1

"""Banyan's own cookies, and a token that was renewed on the way in, are cut out of what the old site sees."""

from banyan.gateway.domain.destinations import COOKIE_FILTER
from banyan.gateway.domain.world import Config, typed

METADATA = "banyan"
"""Where the filter leaves the reader's language, since the cookie that says it is gone afterwards."""

# Runs on every route that does not switch it off, so that a route nobody thought of leaks nothing. Envoy lets a
# request pass when a script fails: hence `pcall`, and a request without any cookie where that happens.
_SCRIPT = r"""
local function kept(line, found)
  local parts, cut, first = {}, false, true
  for part in (line .. ";"):gmatch("([^;]*);") do
    if part:match("^%s*banyan_") then
      cut = true
      local locale = part:match("^%s*banyan_locale%s*=%s*([a-z][a-z])%s*$")
      if locale == "ko" or locale == "en" then found.locale = locale end
    else
      parts[#parts + 1] = part
    end
  end
  if not cut then return line end
  local left = table.concat(parts, ";"):gsub("^%s+", "")
  if left:match("^[%s;]*$") then return nil end
  return left
end

local function cut(headers, found)
  local lines, changed = {}, false
  for index = 0, headers:getNumValues("cookie") - 1 do
    local line = headers:getAtIndex("cookie", index)
    local left = kept(line, found)
    changed = changed or left ~= line
    lines[#lines + 1] = left
  end
  if changed then
    headers:remove("cookie")
    for _, line in ipairs(lines) do headers:add("cookie", line) end
  end
end

function envoy_on_request(handle)
  local headers, found = handle:headers(), {}
  headers:remove("x-banyan-token")
  headers:remove("x-banyan-gone")
  if headers:getNumValues("cookie") == 0 then return end
  if not pcall(cut, headers, found) then headers:remove("cookie") end
  if found.locale then handle:streamInfo():dynamicMetadata():set("banyan", "locale", found.locale) end
end
"""


def cut() -> Config:
    """The filter, on for every route; routes to the new side switch it off."""
    return {
        "name": COOKIE_FILTER,
        "typed_config": typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": _SCRIPT}),
    }

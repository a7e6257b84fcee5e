package audit

import (
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/wire"
)

// maxStrange is how many refusals a second have a record each. Anybody can cause them, as often as he
// likes, and must not be able to fill the disk.
const maxStrange = 100

// strange reports whether an entry is of something that cost its peer nothing: a refusal, or a
// command that does not exist.
func strange(e *record.Entry) bool {
	switch e.Event {
	case record.Denied, record.LoginRefused:
		return true
	case record.Outcome:
		return e.Intent == 0 && (e.Access == "" || e.Result == wire.CodeTooMany)
	}
	return false
}

// A flood counts refusals.
type flood struct {
	second   time.Time
	recorded int
	counted  uint64 // not recorded
}

// lets counts a refusal, and says whether there is a record for it.
func (f *flood) lets(now time.Time) bool {
	if now.Sub(f.second) >= time.Second {
		f.second, f.recorded = now, 0
	}
	if f.recorded == maxStrange {
		f.counted++
		return false
	}
	f.recorded++
	return true
}

// over reports whether some had no record, and their second is over.
func (f *flood) over(now time.Time) bool { return f.counted > 0 && now.Sub(f.second) >= time.Second }

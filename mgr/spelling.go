package mgr

import "github.com/rudderpost/rudderpost/wire"

// maxRespelled is how long arguments that are encoded already may be for their reply to be spelled as Kea spells it,
// arguments included, in bytes. Longer ones keep their spelling, and are sent from where they lie.
const maxRespelled = 64 << 10

// spellForKea spells the last reply of a batch as Kea would, if it is the reply to a request without an id. Such a reply
// is always the last of its conn. spellForKea runs on the goroutine that writes the batch and never on the loop, since it
// takes time in proportion to the reply's length. c.mu is not held.
func (c *conversation) spellForKea(batch []*answer) {
	if len(batch) == 0 {
		return
	}
	a := batch[len(batch)-1]
	if !a.isLast || a.isSpelled {
		return
	}
	before := a.size()
	a.spellForKea()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(a.size() - before)
}

// spellForKea spells the reply.
func (a *answer) spellForKea() {
	a.isSpelled = true
	spare := answers.Get().(*answer) // whose buffer becomes the frame
	switch {
	case a.body == nil:
		spare.frame = wire.AppendKea(spare.frame[:0], a.frame)
		a.frame, spare.frame = spare.frame, a.frame
	case len(a.body) <= maxRespelled:
		spare.frame = append(append(append(spare.frame[:0], a.frame...), a.body...), a.tail...)
		a.frame = wire.AppendKea(a.frame[:0], spare.frame)
		a.body, a.tail = nil, ""
	default:
		spare.frame, a.tail = wire.AppendKeaParts(spare.frame[:0], a.frame, a.tail)
		a.frame, spare.frame = spare.frame, a.frame
	}
	spare.release()
}

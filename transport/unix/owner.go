//go:build unix && !aix

package unix

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// An ownership is what a socket file is given before anybody can connect to it.
type ownership struct {
	mode fs.FileMode
	gid  int // -1: as it is
}

// ownership reads the Transport's Mode and Group.
func (t *Transport) ownership() (ownership, error) {
	o := ownership{mode: t.Mode, gid: -1}
	if o.mode == 0 {
		o.mode = 0o600
	}
	if o.mode&^fs.ModePerm != 0 {
		return o, fmt.Errorf("the mode %v is more than permissions; use one like 0600 or 0660", o.mode)
	}
	if t.Group == "" {
		return o, nil
	}
	if gid, err := strconv.ParseUint(t.Group, 10, 31); err == nil {
		o.gid = int(gid)
		return o, nil
	}
	g, err := user.LookupGroup(t.Group)
	if err != nil {
		return o, fmt.Errorf("find the socket's group %q: %w", t.Group, err)
	}
	o.gid, err = strconv.Atoi(g.Gid)
	return o, err
}

// Package userns knows what the number of a user is worth as a proof of who it is.
package userns

import (
	"os"
	"strings"
)

// Nobody is what the kernel calls each user, and each group, that has no number in our user namespace.
const Nobody = 65534

// Self returns the number of the user that we run as. It is false where others have that number too: we
// are Nobody, in a user namespace that has not got numbers for everybody.
func Self() (uid int, ours bool) {
	uid = os.Geteuid()
	return uid, uid != Nobody || complete(uidMap())
}

// complete reports whether a map gives every user its own number; see user_namespaces(7). The last number
// is none. Without a map there are no user namespaces.
func complete(uidMap string) bool {
	return uidMap == "" || strings.Join(strings.Fields(uidMap), " ") == "0 0 4294967295"
}

func uidMap() string {
	text, _ := os.ReadFile("/proc/self/uid_map")
	return string(text)
}

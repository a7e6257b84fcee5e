package trustedpath

// The tags of entries of a POSIX ACL (acl(5)) that can give another user write permission.
const (
	aclUser        = 0x02 // a named user
	aclGroupObject = 0x04 // the file's group
	aclGroup       = 0x08 // a named group
)

// An aclEntry is one entry of an ACL, already bounded by its mask.
type aclEntry struct {
	tag   uint16
	id    uint32 // of a named user or group
	write bool
}

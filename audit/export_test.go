package audit

// What tests give a log instead of a file.
type File = file

var (
	OpenFile = openFile
	OpenWith = open
)

const MaxHeld = maxHeld

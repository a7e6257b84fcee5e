package mgr

// Checked returns a copy of the command whose arguments are checked against Args before the handler runs, as for commands
// that Func makes. It is for handlers that read call.Arguments themselves. Without Checked, the manager does not check the
// arguments of a Command literal.
func (c Command) Checked() Command {
	s, name := c.Args, c.Name
	if s == nil {
		return c
	}
	isMap := s.Type == "object"
	c.check = func(call *Call) (any, error) {
		arguments := call.Arguments
		switch {
		case isMap && (arguments == nil || arguments.Kind() == "null"):
			arguments = emptyMap
		case arguments == nil && s.Type == "":
			return nil, nil
		}
		return nil, argumentsError(name, s, arguments, isMap, nil)
	}
	return c
}

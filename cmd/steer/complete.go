package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/spf13/cobra"
)

// complete asks the daemon what could stand there: command names, then argument names and values.
func (o *options) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	dialer, _, err := o.dialer(ctx, strings.NewReader(""), io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		var names []string
		_ = ask(ctx, dialer, &names, "list-commands", nil)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return argumentNames(ctx, dialer, args), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// ask gives one command, and decodes what it returns. It needs no session, so that every daemon can be
// asked on every transport.
func ask(ctx context.Context, dialer transport.Dialer, out any, command string, arguments any) error {
	value, err := client.Arguments(arguments)
	if err != nil {
		return err
	}
	reply, err := client.Do(ctx, dialer, wire.Request{Command: command, Arguments: value})
	if err == nil {
		err = reply.Err()
	}
	if err == nil {
		err = reply.Decode(out)
	}
	return err
}

// argumentNames lists the arguments of a command that are not given yet, each ready for its value.
func argumentNames(ctx context.Context, dialer transport.Dialer, args []string) []string {
	type described struct {
		Arguments struct {
			Properties map[string]struct {
				Description string   `json:"description"`
				Enum        []string `json:"enum"`
			} `json:"properties"`
		} `json:"arguments"`
	}
	var about described
	if ask(ctx, dialer, &about, "describe-command", map[string]string{"command": args[0]}) != nil {
		return nil
	}
	var names []string
	for name, property := range about.Arguments.Properties {
		if slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, name+"=") }) {
			continue
		}
		if len(property.Enum) == 0 {
			names = append(names, name+"=\t"+property.Description)
		}
		for _, value := range property.Enum {
			names = append(names, name+"="+value+"\t"+property.Description)
		}
	}
	slices.Sort(names)
	return names
}

// completionScript prints what a shell needs to complete steer's command lines.
func completionScript(cmd *cobra.Command, shell string) error {
	out := cmd.OutOrStdout()
	switch shell {
	case "bash":
		return cmd.GenBashCompletionV2(out, true)
	case "zsh":
		return cmd.GenZshCompletion(out)
	case "fish":
		return cmd.GenFishCompletion(out, true)
	case "powershell":
		return cmd.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("there is no completion script for %q; there are bash, zsh, fish and powershell", shell)
}

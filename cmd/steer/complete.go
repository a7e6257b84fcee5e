package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/client"

	"github.com/spf13/cobra"
)

// complete asks the daemon what could stand there: command names, then argument names and values.
func (o *options) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	dialer, _, err := o.dialer()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := client.Dial(ctx, dialer)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = c.Close() }()
	if len(args) == 0 {
		names, _ := client.Call[[]string](ctx, c, "list-commands", nil)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return argumentNames(ctx, c, args), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// argumentNames lists the arguments of a command that are not given yet, each ready for its value.
func argumentNames(ctx context.Context, c *client.Client, args []string) []string {
	type described struct {
		Arguments struct {
			Properties map[string]struct {
				Description string   `json:"description"`
				Enum        []string `json:"enum"`
			} `json:"properties"`
		} `json:"arguments"`
	}
	about, err := client.Call[described](ctx, c, "describe-command", map[string]string{"command": args[0]})
	if err != nil {
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

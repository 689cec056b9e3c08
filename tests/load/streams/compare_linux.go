package main

import "context"

type compareCmd struct{}

func (c *compareCmd) Run(ctx context.Context) error { return nil }

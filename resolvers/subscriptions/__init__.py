"""Subscription plans: compiled subscriptions with their variables and restrictions."""

"""The record in one DynamoDB table, whose layout is docs/decisions/0020."""

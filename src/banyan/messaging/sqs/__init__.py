"""Events over AWS: each context tells a topic of SNS, which copies to a queue of SQS for each consumer."""

"""Simulated OCCI clouds of the demo federation.

No hypervisor stands behind them: a virtual machine here is a line in a journal. Everything around it is
real: TLS, proxies, attribute certificates, admission by what the site agent applied, capacity, signed
usage messages.
"""

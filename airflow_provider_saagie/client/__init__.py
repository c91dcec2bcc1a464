"""Saagie without Airflow: settings, sessions, the calls by noun, and what answers mean.

Import from the modules: nothing is loaded here, since a DAG file's parse passes by.
"""

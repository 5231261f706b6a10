"""The web door: DICOMweb services (PS3.18) in a process of their own. The only room that imports the web framework."""

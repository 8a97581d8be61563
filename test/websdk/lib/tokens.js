'use strict';

const { AccessToken2, ServiceChat } = require('agora-token/src/AccessToken2');

// signedToken makes an AccessToken2 for a user whose every part can be chosen; ages and lives in seconds.
function signedToken({ appId, certificate, user, age = 0, life = 600, privilege = ServiceChat.kPrivilegeUser }) {
  const issued = Math.floor(Date.now() / 1000) - age;
  const token = new AccessToken2(appId, certificate, issued, life);
  const service = new ServiceChat(user);
  service.add_privilege(privilege, life);
  token.add_service(service);
  return token.build();
}

module.exports = { signedToken, APP_PRIVILEGE: ServiceChat.kPrivilegeApp };
